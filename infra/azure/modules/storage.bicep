// The account with every queue, table and container. Their names are those of orthocontracts/names.py: a test compares.

param accountName string
param location string
param tags object
param sku string
@description('Whether the account has keys that count: an operator signs grants for an HPC centre with one.')
param sharedKeys bool
@description('Enabled or Disabled: whether the account answers outside its private endpoints.')
param publicAccess string
@description('Addresses or ranges that it answers; all where there is none.')
param allowedIps array
@description('Every pool of settings/pools.yaml.')
param pools array
param resultVersion int
@description('Days after which a product that was uploaded is deleted; 0 for never.')
param keepProductsDays int
@description('Days after which what nobody could use, under control/poison/, is deleted.')
param keepPoisonDays int

var queues = [
  'requests'
  'dispatch'
  'results'
  'capacity'
  'callbacks'
  'announced'
  'uploads'
  'wanted'
  'procured'
]
var containers = [
  'products'
  'aux'
  'requests'
  'plans'
  'results'
  'catalogue'
  'settings'
  'control'
]
// Not in names.py, because no program of ours knows it: events that found no function.
var ownContainers = [
  'undelivered'
]
var tables = [
  'jobs'
  'outputs'
  'tasks'
  'active'
  'digests'
  'holders'
  'agents'
  'pending'
  'ledger'
  'learned'
  'shares'
  'owners'
  'keys'
  'batches'
  'items'
  'loads'
  'inventory'
  'orders'
  'ordered'
  'redos'
  'callbacks'
  'secrets'
  'archive'
  'campaigns'
  'wanted'
]
var poisonQueues = [for queue in queues: '${queue}-poison']
var poolQueues = [for pool in pools: 'pool-${pool}-r${resultVersion}']
var ticketContainers = [for pool in pools: 'tickets-${pool}']

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: accountName
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: sku
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: sharedKeys
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: publicAccess
    networkAcls: {
      // Event Grid puts events into queues as a trusted service.
      bypass: 'AzureServices'
      defaultAction: publicAccess == 'Disabled' ? 'Deny' : empty(allowedIps) ? 'Allow' : 'Deny'
      ipRules: [for ip in allowedIps: {
        value: ip
        action: 'Allow'
      }]
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: 7
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: 7
    }
  }
}

resource blobContainers 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = [for container in concat(containers, ownContainers, ticketContainers): {
  parent: blobs
  name: container
  properties: {
    publicAccess: 'None'
  }
}]

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2024-01-01' = {
  parent: account
  name: 'default'
}

resource allQueues 'Microsoft.Storage/storageAccounts/queueServices/queues@2024-01-01' = [for queue in concat(queues, poisonQueues, poolQueues): {
  parent: queueService
  name: queue
}]

resource tableService 'Microsoft.Storage/storageAccounts/tableServices@2024-01-01' = {
  parent: account
  name: 'default'
}

resource allTables 'Microsoft.Storage/storageAccounts/tableServices/tables@2024-01-01' = [for table in tables: {
  parent: tableService
  name: table
}]

// Results, plans, requests and the catalogue are not here: the functions delete them, and know what still names them.
var keptRules = [
  {
    name: 'undelivered'
    enabled: true
    type: 'Lifecycle'
    definition: {
      filters: {
        blobTypes: [
          'blockBlob'
        ]
        prefixMatch: [
          'undelivered/'
        ]
      }
      actions: {
        baseBlob: {
          delete: {
            daysAfterModificationGreaterThan: 30
          }
        }
      }
    }
  }
  {
    name: 'poison'
    enabled: true
    type: 'Lifecycle'
    definition: {
      filters: {
        blobTypes: [
          'blockBlob'
        ]
        prefixMatch: [
          'control/poison/'
          'control/again/'
        ]
      }
      actions: {
        baseBlob: {
          delete: {
            daysAfterModificationGreaterThan: keepPoisonDays
          }
        }
      }
    }
  }
]
var productRules = [
  {
    name: 'products'
    enabled: true
    type: 'Lifecycle'
    definition: {
      filters: {
        blobTypes: [
          'blockBlob'
        ]
        prefixMatch: [
          'products/'
        ]
      }
      actions: {
        baseBlob: {
          delete: {
            daysAfterModificationGreaterThan: keepProductsDays
          }
        }
      }
    }
  }
]

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2024-01-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: keepProductsDays > 0 ? concat(keptRules, productRules) : keptRules
    }
  }
  dependsOn: [
    blobs
  ]
}
