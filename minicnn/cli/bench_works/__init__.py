"""What the kinds of ``minicnn bench`` run that need rooms above the harness: ops, optimisers, whole training steps."""
