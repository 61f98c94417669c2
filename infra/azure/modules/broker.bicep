// The broker: an Event Grid namespace with MQTT. Topic spaces, client groups and bindings are those of
// infra/eventgrid/broker.json, which a test holds against the ACL of a broker on site.

param namespaceName string
param topicName string
param location string
param tags object
param accountName string
param identityName string
@description('Throughput units: each 1,000 messages a second and 10,000 sessions.')
param capacity int
@description('Certificate of the authority that signs the clients, PEM. It is public; its key stays where it is.')
param authorityPem string

var broker = loadJsonContent('../../eventgrid/broker.json')
var dataSender = 'd5a91429-5739-47e2-a06b-3470a27159e7'
var queueSender = 'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: identityName
}

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: accountName
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2024-01-01' existing = {
  parent: account
  name: 'default'
}

resource capacityQueue 'Microsoft.Storage/storageAccounts/queueServices/queues@2024-01-01' existing = {
  parent: queues
  name: 'capacity'
}

// What is published on status topics goes to this topic, and from there into queue capacity. Through the firewall of a
// storage account Event Grid comes only with the identity that it makes itself.
resource topic 'Microsoft.EventGrid/topics@2025-02-15' = {
  name: topicName
  location: location
  tags: tags
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    inputSchema: 'CloudEventSchemaV1_0'
    disableLocalAuth: true
    minimumTlsVersionAllowed: '1.2'
    publicNetworkAccess: 'Enabled'
  }
}

resource namespaceSends 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: topic
  name: guid(topic.id, identity.id, dataSender)
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', dataSender)
  }
}

resource topicTellsCapacity 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: capacityQueue
  name: guid(capacityQueue.id, topic.id, queueSender)
  properties: {
    principalId: topic.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', queueSender)
  }
}

resource namespace 'Microsoft.EventGrid/namespaces@2025-02-15' = {
  name: namespaceName
  location: location
  tags: tags
  sku: {
    name: 'Standard'
    capacity: capacity
  }
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    minimumTlsVersionAllowed: '1.2'
    publicNetworkAccess: 'Enabled'
    topicSpacesConfiguration: {
      state: 'Enabled'
      // Functions run in several processes; a worker that starts anew comes before its last session has ended.
      maximumClientSessionsPerAuthenticationName: 10
      maximumSessionExpiryInHours: 1
      routeTopicResourceId: topic.id
      routingIdentityInfo: {
        type: 'UserAssigned'
        userAssignedIdentity: identity.id
      }
      routingEnrichments: {
        dynamic: [
          {
            // Who a status is from is what the broker says, not what the status does.
            key: 'agent'
            value: '\${client.authenticationName}'
          }
        ]
      }
    }
  }
  dependsOn: [
    namespaceSends
  ]
}

resource topicSpaces 'Microsoft.EventGrid/namespaces/topicSpaces@2025-02-15' = [for space in broker.topicSpaces: {
  parent: namespace
  name: space.name
  properties: {
    topicTemplates: space.topicTemplates
  }
}]

resource clientGroups 'Microsoft.EventGrid/namespaces/clientGroups@2025-02-15' = [for group in broker.clientGroups: {
  parent: namespace
  name: group.name
  properties: {
    query: group.query
  }
}]

resource bindings 'Microsoft.EventGrid/namespaces/permissionBindings@2025-02-15' = [for binding in broker.permissionBindings: {
  parent: namespace
  name: binding.name
  properties: {
    clientGroupName: binding.clientGroupName
    topicSpaceName: binding.topicSpaceName
    permission: binding.permission
  }
  dependsOn: [
    topicSpaces
    clientGroups
  ]
}]

resource authority 'Microsoft.EventGrid/namespaces/caCertificates@2025-02-15' = if (!empty(authorityPem)) {
  parent: namespace
  name: 'authority'
  properties: {
    encodedCertificate: authorityPem
  }
}

resource functionsClient 'Microsoft.EventGrid/namespaces/clients@2025-02-15' = {
  parent: namespace
  name: 'functions'
  properties: {
    authenticationName: 'functions'
    state: 'Enabled'
    attributes: {
      role: 'functions'
    }
    clientCertificateAuthentication: {
      validationScheme: 'SubjectMatchesAuthenticationName'
    }
  }
}

resource statuses 'Microsoft.EventGrid/topics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: 'capacity'
  properties: {
    eventDeliverySchema: 'CloudEventSchemaV1_0'
    filter: {
      subjectBeginsWith: 'orthoburst/v1/agents/'
      subjectEndsWith: '/status'
      isSubjectCaseSensitive: true
    }
    deliveryWithResourceIdentity: {
      identity: {
        type: 'SystemAssigned'
      }
      destination: {
        endpointType: 'StorageQueue'
        properties: {
          resourceId: account.id
          queueName: 'capacity'
          queueMessageTimeToLiveInSeconds: 300
        }
      }
    }
    retryPolicy: {
      // A status that is older tells nothing.
      eventTimeToLiveInMinutes: 5
      maxDeliveryAttempts: 10
    }
  }
  dependsOn: [
    topicTellsCapacity
  ]
}
