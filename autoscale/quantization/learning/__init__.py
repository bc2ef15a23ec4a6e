"""An int8 graph that learns: its numbers rounded in float32, its gradients not."""
