"""Where to look: shots, faces, tracks and the crops cut along them. Knows nothing of models."""
