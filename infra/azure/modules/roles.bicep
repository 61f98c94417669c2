// Roles that Azure has not built in. What they allow is written in infra/roles, for those who make them by hand as well.

@description('Tells this deployment apart in the names of roles, which are unique in a tenant.')
param name string
param poolWorkerRoleName string

var poolWorker = loadJsonContent('../../roles/pool-worker.json')

resource poolWorkerRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: poolWorkerRoleName
  properties: {
    roleName: '${poolWorker.Name} (${name})'
    description: poolWorker.Description
    type: 'CustomRole'
    permissions: [
      {
        actions: poolWorker.Actions
        notActions: []
        dataActions: poolWorker.DataActions
        notDataActions: []
      }
    ]
    assignableScopes: [
      resourceGroup().id
    ]
  }
}
