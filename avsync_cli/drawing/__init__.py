"""Whatever makes pixels: canvas, letters, figures, the film with attention drawn on it."""
