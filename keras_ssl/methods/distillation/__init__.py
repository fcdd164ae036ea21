"""Self-distillation: a student predicts what its slowly moving teacher sees."""
