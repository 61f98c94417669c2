// Step two, once the functions are published: uploads under products/ are told to them.

@description('System topic of the storage account, an output of main.bicep.')
param topicName string
@description('Storage account, an output of main.bicep.')
param accountName string
@description('Host of the functions, an output of main.bicep.')
param functionsHost string
@secure()
@description('System key blobs_extension of the functions. It is in no file and not in the history of deployments.')
param functionsKey string

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: accountName
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: topicName
}

resource products 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: 'products'
  properties: {
    eventDeliverySchema: 'EventGridSchema'
    filter: {
      includedEventTypes: [
        'Microsoft.Storage.BlobCreated'
      ]
      subjectBeginsWith: '/blobServices/default/containers/products/'
    }
    destination: {
      endpointType: 'WebHook'
      properties: {
        endpointUrl: 'https://${functionsHost}/runtime/webhooks/blobs?functionName=Host.Functions.uploads&code=${functionsKey}'
        maxEventsPerBatch: 16
        minimumTlsVersionAllowed: '1.2'
      }
    }
    retryPolicy: {
      eventTimeToLiveInMinutes: 1440
      maxDeliveryAttempts: 30
    }
    deadLetterWithResourceIdentity: {
      identity: {
        type: 'SystemAssigned'
      }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: {
          resourceId: account.id
          blobContainerName: 'undelivered'
        }
      }
    }
  }
}
