"""The networks: SK-ResNet encoder, projection head, linear classifier, and their description."""
