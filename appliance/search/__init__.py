"""Search: one index per academy that can be thrown away at any time. Gives ids only; the store gives what they mean."""
