// Who may do what. docs/security.md says it in words, the table in infra/azure/README.md role by role: a test compares. The broker's rights and those of events
// are beside what they belong to.

param accountName string
param vaultName string
param insightsName string
param registryName string
param functionsIdentity string
param workerIdentity string
@description('Pool whose workers are containers here.')
param cloudPool string
param resultVersion int
param poolWorkerRoleName string
@description('Object id of the group of operators in Entra ID; nobody where it is empty.')
param operatorsGroup string

var roles = {
  blobOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  blobContributor: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  blobReader: '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'
  queueContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  queueReader: '19e7f393-937e-4f77-808e-94535e297925'
  queueSender: 'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'
  tableContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
  secretsUser: '4633458b-17de-408a-b874-0445c86b69e6'
  secretsOfficer: 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'
  imagePull: '7f951dda-4ed3-4680-a7ca-43fe172d538d'
  metricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb'
}

resource functions 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: functionsIdentity
}

resource worker 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: workerIdentity
}

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: accountName
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' existing = {
  parent: account
  name: 'default'
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2024-01-01' existing = {
  parent: account
  name: 'default'
}

resource poolQueue 'Microsoft.Storage/storageAccounts/queueServices/queues@2024-01-01' existing = {
  parent: queues
  name: 'pool-${cloudPool}-r${resultVersion}'
}

resource resultsQueue 'Microsoft.Storage/storageAccounts/queueServices/queues@2024-01-01' existing = {
  parent: queues
  name: 'results'
}

resource tickets 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' existing = {
  parent: blobs
  name: 'tickets-${cloudPool}'
}

resource settings 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' existing = {
  parent: blobs
  name: 'settings'
}

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: vaultName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource registry 'Microsoft.ContainerRegistry/registries@2023-07-01' existing = {
  name: registryName
}

// The functions

resource functionsBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, functions.id, roles.blobOwner)
  properties: {
    principalId: functions.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.blobOwner)
  }
}

resource functionsQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, functions.id, roles.queueContributor)
  properties: {
    principalId: functions.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueContributor)
  }
}

resource functionsTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, functions.id, roles.tableContributor)
  properties: {
    principalId: functions.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.tableContributor)
  }
}

resource functionsSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, functions.id, roles.secretsUser)
  properties: {
    principalId: functions.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.secretsUser)
  }
}

resource functionsLog 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: insights
  name: guid(insights.id, functions.id, roles.metricsPublisher)
  properties: {
    principalId: functions.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.metricsPublisher)
  }
}

// Workers of the cloud pool

resource workerTakes 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: poolQueue
  name: guid(poolQueue.id, worker.id, poolWorkerRoleName)
  properties: {
    principalId: worker.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', poolWorkerRoleName)
  }
}

resource workerIsScaled 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: poolQueue
  name: guid(poolQueue.id, worker.id, roles.queueReader)
  properties: {
    principalId: worker.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueReader)
  }
}

resource workerReports 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: resultsQueue
  name: guid(resultsQueue.id, worker.id, roles.queueSender)
  properties: {
    principalId: worker.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queueSender)
  }
}

resource workerReadsTickets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: tickets
  name: guid(tickets.id, worker.id, roles.blobReader)
  properties: {
    principalId: worker.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.blobReader)
  }
}

resource workerTraces 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: insights
  name: guid(insights.id, worker.id, roles.metricsPublisher)
  properties: {
    principalId: worker.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.metricsPublisher)
  }
}

resource workerIsPulled 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: registry
  name: guid(registry.id, worker.id, roles.imagePull)
  properties: {
    principalId: worker.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.imagePull)
  }
}

// Operators

resource operatorsSettings 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorsGroup)) {
  scope: settings
  name: guid(settings.id, operatorsGroup, roles.blobContributor)
  properties: {
    principalId: operatorsGroup
    principalType: 'Group'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.blobContributor)
  }
}

resource operatorsSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorsGroup)) {
  scope: vault
  name: guid(vault.id, operatorsGroup, roles.secretsOfficer)
  properties: {
    principalId: operatorsGroup
    principalType: 'Group'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.secretsOfficer)
  }
}
