"""The engine: tensors, the tape, gradients; it knows no operation and no device."""
