// Workers of the cloud pool: a container for every message on its queue, up to a limit. Each serves one slot and leaves
// when the queue has been empty for its linger time.

param jobName string
param environmentName string
param location string
param tags object
param workspaceName string
param registryName string
param image string
param identityName string
param accountName string
param insightsName string
param pool string
param resultVersion int
@description('Processor cores of a container, as text: 0.5 to 4 in the consumption profile.')
param cores string
@description('Memory of a container: 2 Gi for each core in the consumption profile.')
param memory string
param maximumContainers int
param lingerSeconds int
@description('Most seconds that a container runs. It drains in time, and another goes on.')
param lifetimeSeconds int
@description('Further settings of docs/settings.md for workers, no secrets.')
param settings object
@description('Subnet that they go out through; empty without a network. It cannot be changed afterwards.')
param subnetId string

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: identityName
}

resource registry 'Microsoft.ContainerRegistry/registries@2023-07-01' existing = {
  name: registryName
}

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' existing = {
  name: workspaceName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource workers 'Microsoft.App/managedEnvironments@2025-01-01' = {
  name: environmentName
  location: location
  tags: tags
  properties: {
    appLogsConfiguration: {
      // By way of a diagnostic setting: writing into the workspace directly would take its key.
      destination: 'azure-monitor'
    }
    vnetConfiguration: empty(subnetId) ? null : {
      infrastructureSubnetId: subnetId
      internal: true
    }
    workloadProfiles: [
      {
        name: 'Consumption'
        workloadProfileType: 'Consumption'
      }
    ]
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: workers
  name: 'log'
  properties: {
    workspaceId: workspace.id
    logs: [
      {
        category: 'ContainerAppConsoleLogs'
        enabled: true
      }
      {
        category: 'ContainerAppSystemLogs'
        enabled: true
      }
    ]
  }
}

resource job 'Microsoft.App/jobs@2025-01-01' = {
  name: jobName
  location: location
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    environmentId: workers.id
    workloadProfileName: 'Consumption'
    configuration: {
      triggerType: 'Event'
      replicaTimeout: lifetimeSeconds
      // A worker that failed is not started again: its message comes back, and another container with it.
      replicaRetryLimit: 0
      registries: [
        {
          server: registry.properties.loginServer
          identity: identity.id
        }
      ]
      eventTriggerConfig: {
        parallelism: 1
        replicaCompletionCount: 1
        scale: {
          minExecutions: 0
          maxExecutions: maximumContainers
          pollingInterval: 10
          rules: [
            {
              name: 'pool-queue'
              type: 'azure-queue'
              identity: identity.id
              metadata: {
                accountName: accountName
                queueName: 'pool-${pool}-r${resultVersion}'
                queueLength: '1'
                // Those that workers hold count too: as many containers as messages, not as many again.
                queueLengthStrategy: 'all'
              }
            }
          ]
        }
      }
    }
    template: {
      containers: [
        {
          name: 'worker'
          image: image
          resources: {
            cpu: json(cores)
            memory: memory
          }
          env: concat([
            {
              name: 'AZURE_CLIENT_ID'
              value: identity.properties.clientId
            }
            {
              name: 'ORTHOAGENT_STORAGE_ACCOUNT'
              value: 'https://${accountName}.blob.${environment().suffixes.storage}'
            }
            {
              name: 'ORTHOAGENT_POOL'
              value: pool
            }
            {
              name: 'ORTHOAGENT_SLOTS'
              value: '1'
            }
            {
              name: 'ORTHOAGENT_UNTIL_EMPTY'
              value: 'true'
            }
            {
              name: 'ORTHOAGENT_LINGER_S'
              value: string(lingerSeconds)
            }
            {
              name: 'ORTHOAGENT_WALLTIME_S'
              value: string(lifetimeSeconds)
            }
            {
              // An address, not a key, as for the functions.
              name: 'APPLICATIONINSIGHTS_CONNECTION_STRING'
              value: insights.properties.ConnectionString
            }
            {
              name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING'
              value: 'ClientId=${identity.properties.clientId};Authorization=AAD'
            }
          ], map(items(settings), one => {
            name: one.key
            value: one.value
          }))
        }
      ]
    }
  }
}
