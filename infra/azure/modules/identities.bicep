// Who the parts are. They are there before the parts, so that rights come first and nothing waits for them.

param location string
param tags object
@description('One identity each: functions, workers, broker.')
param identityNames array

resource identities 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = [for identityName in identityNames: {
  name: identityName
  location: location
  tags: tags
}]
