"""The decisions of the provisioner: pure, over the folded log, the manifests and one command."""
