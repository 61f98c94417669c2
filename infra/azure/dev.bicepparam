// To try it: one copy of the data, containers that cost little, products that go again.
using 'main.bicep'

param name = 'orthodev'
param resultVersion = 3
param storageSku = 'Standard_LRS'
param keepProductsDays = 30
param keepPoisonDays = 30

param functionsMemoryMb = 2048
param functionsInstances = 40
param functionsSecrets = {
  ORTHOBURST_BROKER_CERT: 'broker-cert'
  ORTHOBURST_BROKER_KEY: 'broker-key'
}

param workerImage = readEnvironmentVariable('ORTHOBURST_WORKER_IMAGE', '')
param workerCores = '2'
param workerMemory = '4Gi'
param workerContainers = 4
param workerSettings = {
  ORTHOAGENT_INPUTS_GB: '1'
}

param brokerAuthorityPem = readEnvironmentVariable('ORTHOBURST_BROKER_AUTHORITY', '')

param operatorsGroup = readEnvironmentVariable('ORTHOBURST_OPERATORS_GROUP', '')
param operatorsEmails = [
  readEnvironmentVariable('ORTHOBURST_OPERATORS_EMAIL')
]
param monthBudget = 50
param budgetStart = readEnvironmentVariable('ORTHOBURST_BUDGET_START')
param oldestTaskSeconds = 3600
