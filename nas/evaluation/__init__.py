"""How good a network is: data, accuracy, fine-tuning, hand-designed models."""
