// What this resource group may cost a month, and who hears of it. It stops nothing: the functions' own budget does
// (ORTHOBURST_MONTH_BUDGET_EUR), for what containers cost.

param budgetName string
@description('In the currency of the account that pays.')
param amount int
@description('First day of the month in which it begins, 2026-12-01 say. It cannot be changed afterwards.')
param startDate string
param emails array

resource budget 'Microsoft.Consumption/budgets@2023-11-01' = {
  name: budgetName
  properties: {
    category: 'Cost'
    amount: amount
    timeGrain: 'Monthly'
    timePeriod: {
      startDate: startDate
    }
    notifications: {
      spent80: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 80
        thresholdType: 'Actual'
        contactEmails: emails
      }
      forecast100: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 100
        thresholdType: 'Forecasted'
        contactEmails: emails
      }
    }
  }
}
