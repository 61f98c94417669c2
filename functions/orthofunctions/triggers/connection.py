"""The app setting that names the storage account all triggers listen to."""

STORAGE = "AzureWebJobsStorage"
