"""The one model core: features, two encoders, the joint layers, attention and the decision."""
