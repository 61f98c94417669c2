// orthoburst in one resource group. Every name is known before anything is there, so that what-if sees into all modules.

@minLength(3)
@maxLength(12)
@description('What all names begin with: lower case letters and digits.')
param name string = 'orthoburst'
param location string = resourceGroup().location
param tags object = {
  application: 'orthoburst'
}

@description('Every pool of settings/pools.yaml.')
param pools array = [
  'hpc'
  'cloud'
]
@description('The one of them whose workers are containers here.')
param cloudPool string = 'cloud'
@description('KERNEL_RESULT_VERSION of orthocontracts/version.py: it is in the names of pools\' queues.')
param resultVersion int

@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GRS'
])
param storageSku string = 'Standard_ZRS'
@description('Whether the account\'s keys count. Grants for workers outside Azure are signed with one.')
param sharedKeys bool = true
@description('A network with private endpoints of storage; functions and containers go out through it. Not changed later.')
param privateNetwork bool = false
param addressSpace string = '10.60.0.0/16'
@allowed([
  'Enabled'
  'Disabled'
])
@description('Whether storage answers outside its private endpoints, as an HPC centre without a line of its own needs.')
param storagePublicAccess string = 'Enabled'
@description('Addresses or ranges that storage answers outside its private endpoints; all where there is none.')
param storageIps array = []
@description('Days after which an uploaded product is deleted; 0 for never.')
param keepProductsDays int = 0
param keepPoisonDays int = 90

@allowed([
  512
  2048
  4096
])
param functionsMemoryMb int = 2048
@minValue(40)
@maxValue(1000)
param functionsInstances int = 40
param functionsReady int = 0
@description('Further settings of the functions (docs/settings.md), no secrets.')
param functionsSettings object = {}
@description('Settings that are secrets: the name of each, and that of its secret in the vault.')
param functionsSecrets object = {}

@description('Image of the worker; without one there is no job yet.')
param workerImage string = ''
param workerCores string = '4'
param workerMemory string = '8Gi'
@minValue(1)
param workerContainers int = 20
param workerLingerSeconds int = 60
param workerLifetimeSeconds int = 14400
param workerSettings object = {}

@description('An Event Grid namespace as the broker. Without it agents poll, or there is a broker elsewhere.')
param broker bool = true
param brokerCapacity int = 1
@description('Certificate of the authority that signs the broker\'s clients, PEM. It is public.')
param brokerAuthorityPem string = ''

@description('Object id of the group of operators in Entra ID.')
param operatorsGroup string = ''
@description('Who hears of alerts and of the budget.')
param operatorsEmails array
@description('A month: of the whole resource group in the currency that is paid in, and of the cloud pool in EUR.')
param monthBudget int
@description('First day of the month of the first deployment, and the same ever after.')
param budgetStart string
param oldestTaskSeconds int = 3600
param keepLogDays int = 30
param logQuotaGb int = 5

var unique = uniqueString(resourceGroup().id)
var accountName = take('${name}${unique}', 24)
var packageAccountName = take('${name}p${unique}', 24)
var vaultName = take('${name}-${unique}', 24)
var registryName = '${name}${unique}'
var appName = '${name}-${unique}'
var namespaceName = '${name}-${unique}'
var workspaceName = '${name}-log'
var insightsName = '${name}-insights'
var networkName = '${name}-net'
var uploadsTopicName = '${name}-uploads'
var functionsIdentity = '${name}-functions'
var workerIdentity = '${name}-worker'
var brokerIdentity = '${name}-broker'
var poolWorkerRoleName = guid(resourceGroup().id, 'orthoburst pool worker')
var subnets = resourceId('Microsoft.Network/virtualNetworks', networkName)

module identities 'modules/identities.bicep' = {
  name: 'identities'
  params: {
    location: location
    tags: tags
    identityNames: [
      functionsIdentity
      workerIdentity
      brokerIdentity
    ]
  }
}

module observe 'modules/observe.bicep' = {
  name: 'observe'
  params: {
    workspaceName: workspaceName
    insightsName: insightsName
    location: location
    tags: tags
    keepDays: keepLogDays
    dailyQuotaGb: logQuotaGb
  }
}

module network 'modules/network.bicep' = if (privateNetwork) {
  name: 'network'
  params: {
    networkName: networkName
    location: location
    tags: tags
    addressSpace: addressSpace
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  params: {
    accountName: accountName
    location: location
    tags: tags
    sku: storageSku
    sharedKeys: sharedKeys
    publicAccess: storagePublicAccess
    allowedIps: storageIps
    pools: pools
    resultVersion: resultVersion
    keepProductsDays: keepProductsDays
    keepPoisonDays: keepPoisonDays
  }
}

module package 'modules/package.bicep' = {
  name: 'package'
  params: {
    accountName: packageAccountName
    location: location
    tags: tags
    identityName: functionsIdentity
  }
  dependsOn: [
    identities
  ]
}

module endpoints 'modules/endpoints.bicep' = if (privateNetwork) {
  name: 'endpoints'
  params: {
    name: name
    location: location
    tags: tags
    accountName: accountName
    networkName: networkName
  }
  dependsOn: [
    network
    storage
  ]
}

module vault 'modules/vault.bicep' = {
  name: 'vault'
  params: {
    vaultName: vaultName
    location: location
    tags: tags
  }
}

module registry 'modules/registry.bicep' = {
  name: 'registry'
  params: {
    registryName: registryName
    location: location
    tags: tags
  }
}

module roles 'modules/roles.bicep' = {
  name: 'roles'
  params: {
    name: appName
    poolWorkerRoleName: poolWorkerRoleName
  }
}

module access 'modules/access.bicep' = {
  name: 'access'
  params: {
    accountName: accountName
    vaultName: vaultName
    insightsName: insightsName
    registryName: registryName
    functionsIdentity: functionsIdentity
    workerIdentity: workerIdentity
    cloudPool: cloudPool
    resultVersion: resultVersion
    poolWorkerRoleName: poolWorkerRoleName
    operatorsGroup: operatorsGroup
  }
  dependsOn: [
    identities
    storage
    vault
    observe
    registry
    roles
  ]
}

module brokerNamespace 'modules/broker.bicep' = if (broker) {
  name: 'broker'
  params: {
    namespaceName: namespaceName
    topicName: '${name}-status'
    location: location
    tags: tags
    accountName: accountName
    identityName: brokerIdentity
    capacity: brokerCapacity
    authorityPem: brokerAuthorityPem
  }
  dependsOn: [
    identities
    storage
  ]
}

module functions 'modules/functions.bicep' = {
  name: 'functions'
  params: {
    appName: appName
    planName: '${name}-plan'
    location: location
    tags: tags
    identityName: functionsIdentity
    accountName: accountName
    packageAccountName: packageAccountName
    vaultName: vaultName
    insightsName: insightsName
    brokerNamespace: broker ? namespaceName : ''
    settings: functionsSettings
    secretSettings: functionsSecrets
    monthBudgetEur: monthBudget
    memoryMb: functionsMemoryMb
    maximumInstances: functionsInstances
    alwaysReady: functionsReady
    subnetId: privateNetwork ? '${subnets}/subnets/functions' : ''
  }
  dependsOn: [
    access
    package
    brokerNamespace
    endpoints
  ]
}

module worker 'modules/worker.bicep' = if (!empty(workerImage)) {
  name: 'worker'
  params: {
    jobName: '${name}-worker'
    environmentName: '${name}-workers'
    location: location
    tags: tags
    workspaceName: workspaceName
    registryName: registryName
    image: workerImage
    identityName: workerIdentity
    accountName: accountName
    insightsName: insightsName
    pool: cloudPool
    resultVersion: resultVersion
    cores: workerCores
    memory: workerMemory
    maximumContainers: workerContainers
    lingerSeconds: workerLingerSeconds
    lifetimeSeconds: workerLifetimeSeconds
    settings: workerSettings
    subnetId: privateNetwork ? '${subnets}/subnets/workers' : ''
  }
  dependsOn: [
    access
    endpoints
  ]
}

module uploads 'modules/uploads.bicep' = {
  name: 'uploads'
  params: {
    topicName: uploadsTopicName
    location: location
    tags: tags
    accountName: accountName
  }
  dependsOn: [
    storage
  ]
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  params: {
    name: name
    location: location
    tags: tags
    workspaceName: workspaceName
    uploadsTopicName: uploadsTopicName
    emails: operatorsEmails
    oldestTaskSeconds: oldestTaskSeconds
  }
  dependsOn: [
    observe
    uploads
  ]
}

module budget 'modules/budget.bicep' = {
  name: 'budget'
  params: {
    budgetName: '${name}-month'
    amount: monthBudget
    startDate: budgetStart
    emails: operatorsEmails
  }
}

output accountName string = accountName
output vaultName string = vaultName
output registryName string = registryName
output functionsName string = appName
output functionsHost string = '${appName}.azurewebsites.net'
output uploadsTopicName string = uploadsTopicName
output brokerNamespace string = broker ? namespaceName : ''
