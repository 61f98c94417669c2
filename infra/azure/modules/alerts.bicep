// What somebody should look at. The queries read the fields of lines that the functions send themselves: what their host
// passes on has none. Tests hold them against what is sent.

param name string
param location string
param tags object
param workspaceName string
param uploadsTopicName string
param emails array
@description('Seconds for which the oldest task may wait before somebody hears of it.')
param oldestTaskSeconds int

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' existing = {
  name: workspaceName
}

resource uploadsTopic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: uploadsTopicName
}

resource operators 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: '${name}-operators'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'orthoburst'
    enabled: true
    emailReceivers: [for email in emails: {
      name: email
      emailAddress: email
      useCommonAlertSchema: true
    }]
  }
}

var rules = [
  {
    name: 'poison'
    severity: 2
    description: 'A message failed too often, or could not be understood. It is under control/poison/.'
    query: 'AppTraces | where tostring(Properties.action) in ("kept", "poison")'
    operator: 'GreaterThan'
    threshold: 0
    window: 'PT5M'
  }
  {
    name: 'oldest-task'
    severity: 2
    description: 'Tasks wait for longer than they should: no pool takes them, or there is too much to do.'
    query: 'AppTraces | where tostring(Properties.action) == "waiting" | where toint(Properties.waiting) > 0 and toint(Properties.oldest_s) > ${oldestTaskSeconds}'
    operator: 'GreaterThan'
    threshold: 2
    window: 'PT5M'
  }
  {
    name: 'agents-lost'
    severity: 2
    description: 'Workers of a pool went without a goodbye, or have fallen silent.'
    query: 'AppTraces | where tostring(Properties.action) == "agent_lost"'
    operator: 'GreaterThan'
    threshold: 0
    window: 'PT5M'
  }
  {
    name: 'trouble'
    severity: 2
    description: 'A single thing cannot be dealt with, time and again; all others are.'
    query: 'AppExceptions | where tostring(Properties.action) == "trouble"'
    operator: 'GreaterThan'
    threshold: 3
    window: 'PT15M'
  }
  {
    name: 'silence'
    severity: 1
    description: 'The functions do not run: not even their minute is noted.'
    query: 'AppTraces | where tostring(Properties.action) == "waiting"'
    operator: 'LessThan'
    threshold: 1
    window: 'PT15M'
  }
]

resource logAlerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for rule in rules: {
  name: '${name}-${rule.name}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: '${name}: ${rule.name}'
    description: '${rule.description} See docs/runbooks.md#${rule.name}.'
    severity: rule.severity
    enabled: true
    scopes: [
      workspace.id
    ]
    evaluationFrequency: 'PT5M'
    windowSize: rule.window
    autoMitigate: true
    // The table is there only once the first function has run.
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: rule.query
          timeAggregation: 'Count'
          operator: rule.operator
          threshold: rule.threshold
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: [
        operators.id
      ]
    }
  }
}]

resource undelivered 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: '${name}-undelivered'
  location: 'global'
  tags: tags
  properties: {
    description: 'An upload was told to no function for a day. The event is in container undelivered.'
    severity: 2
    enabled: true
    scopes: [
      uploadsTopic.id
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT5M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'dead-lettered'
          metricNamespace: 'Microsoft.EventGrid/systemTopics'
          metricName: 'DeadLetteredCount'
          operator: 'GreaterThan'
          threshold: 0
          timeAggregation: 'Total'
        }
      ]
    }
    actions: [
      {
        actionGroupId: operators.id
      }
    ]
  }
}
