"""The networks: encoder, decoder, the pretrainer that joins them, classifiers."""
