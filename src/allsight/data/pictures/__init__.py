"""Pictures: reading, data sets, augmentation, batches."""
