"""The one model core: features, two encoders, the joint layers, attention and the decision.

A model is a folder (`folder`), run as four graphs whose inputs and outputs one table names
(`graphs`), behind one protocol (`engine`). Whoever brings another encoder, or another input beside
crops and log-mel, adds sizes to `config`, ports to `graphs`, layers to `encoders`, and a lesson to
`training`; a model that cannot be put in these terms gets a kind of its own in model.json, as the
baseline in `syncnet` has.
"""
