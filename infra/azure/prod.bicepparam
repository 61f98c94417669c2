// For a site: storage in three zones behind private endpoints, answering the centre's addresses besides.
using 'main.bicep'

param name = 'orthoburst'
param resultVersion = 3
param storageSku = 'Standard_ZRS'
param sharedKeys = true
param privateNetwork = true
param storagePublicAccess = 'Enabled'
param storageIps = split(readEnvironmentVariable('ORTHOBURST_CENTRE_ADDRESSES'), ',')
param keepProductsDays = 0
param keepPoisonDays = 180

param functionsMemoryMb = 4096
param functionsInstances = 100
param functionsReady = 1
param functionsSettings = {
  ORTHOBURST_OIDC_ISSUER: readEnvironmentVariable('ORTHOBURST_OIDC_ISSUER')
  ORTHOBURST_OIDC_AUDIENCE: readEnvironmentVariable('ORTHOBURST_OIDC_AUDIENCE')
  ORTHOBURST_OIDC_USER_CLAIM: 'oid'
}
param functionsSecrets = {
  ORTHOBURST_BROKER_CERT: 'broker-cert'
  ORTHOBURST_BROKER_KEY: 'broker-key'
}

param workerImage = readEnvironmentVariable('ORTHOBURST_WORKER_IMAGE', '')
param workerCores = '4'
param workerMemory = '8Gi'
param workerContainers = 200
param workerSettings = {
  ORTHOAGENT_INPUTS_GB: '2'
}

param brokerCapacity = 2
param brokerAuthorityPem = readEnvironmentVariable('ORTHOBURST_BROKER_AUTHORITY', '')

param operatorsGroup = readEnvironmentVariable('ORTHOBURST_OPERATORS_GROUP')
param operatorsEmails = split(readEnvironmentVariable('ORTHOBURST_OPERATORS_EMAIL'), ',')
param monthBudget = 2000
param budgetStart = readEnvironmentVariable('ORTHOBURST_BUDGET_START')
param oldestTaskSeconds = 7200
param keepLogDays = 90
param logQuotaGb = 20
