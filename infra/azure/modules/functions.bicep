// The functions, on Flex Consumption. They reach storage, vault and log by their identity: no setting holds a key.

param appName string
param planName string
param location string
param tags object
param identityName string
param accountName string
param packageAccountName string
param vaultName string
param insightsName string
@description('The Event Grid namespace that is the broker; empty where it is another, or none.')
param brokerNamespace string
@description('Settings of docs/settings.md that are no secrets, by name.')
param settings object
@description('Settings that are: the name of each, and that of its secret in the vault.')
param secretSettings object
param monthBudgetEur int
param memoryMb int
param maximumInstances int
@description('Instances for HTTP that always run; with 0 the first caller waits for one.')
param alwaysReady int
@description('Subnet that they go out through; empty without a network.')
param subnetId string

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: identityName
}

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: accountName
}

resource packageAccount 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: packageAccountName
}

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: vaultName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource broker 'Microsoft.EventGrid/namespaces@2025-02-15' existing = if (!empty(brokerNamespace)) {
  name: brokerNamespace
}

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: appName
  location: location
  tags: tags
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: 'Enabled'
    keyVaultReferenceIdentity: identity.id
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      minTlsVersion: '1.2'
      ftpsState: 'Disabled'
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${packageAccount.properties.primaryEndpoints.blob}package'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.11'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: memoryMb
        maximumInstanceCount: maximumInstances
        // Every queue trigger and timer has instances of its own; only those for HTTP are worth keeping warm.
        alwaysReady: alwaysReady == 0 ? [] : [
          {
            name: 'http'
            instanceCount: alwaysReady
          }
        ]
      }
    }
  }
}

// Names and passwords of old ways to publish are off: what deploys has an identity.
resource noFtp 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource noBasic 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}

var ownSettings = {
  AZURE_CLIENT_ID: identity.properties.clientId
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identity.properties.clientId
  AzureWebJobsStorage__blobServiceUri: account.properties.primaryEndpoints.blob
  AzureWebJobsStorage__queueServiceUri: account.properties.primaryEndpoints.queue
  AzureWebJobsStorage__tableServiceUri: account.properties.primaryEndpoints.table
  ORTHOBURST_STORAGE_ACCOUNT: 'https://${accountName}.blob.${environment().suffixes.storage}'
  ORTHOBURST_MONTH_BUDGET_EUR: string(monthBudgetEur)
  ORTHOBURST_LOCAL_USER: 'false'
  // An address, not a key: Application Insights takes nothing without a token of the identity (DisableLocalAuth).
  APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
  // The host and the functions each send what is theirs there, both by the identity.
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
  // Lines of the functions arrive with their fields (docs/telemetry.md): of what it is told of them the host passes on
  // warnings and errors only, else all would be there, and be paid for, twice.
  AzureFunctionsJobHost__logging__logLevel__Function: 'Warning'
}
var brokerSettings = empty(brokerNamespace) ? {} : {
  ORTHOBURST_BROKER: 'mqtts://${broker.properties.topicSpacesConfiguration.hostname}:8883'
  ORTHOBURST_BROKER_USER: 'functions'
}
var references = toObject(items(secretSettings), one => one.key, one => '@Microsoft.KeyVault(SecretUri=${vault.properties.vaultUri}secrets/${one.value}/)')

resource appSettings 'Microsoft.Web/sites/config@2024-04-01' = {
  parent: app
  name: 'appsettings'
  properties: union(ownSettings, brokerSettings, settings, references)
}
