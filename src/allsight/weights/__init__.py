"""Finding, verifying and reading files of weights; the package's own small weights lie here, one folder a model."""
