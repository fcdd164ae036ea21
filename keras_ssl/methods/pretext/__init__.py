"""Pretext tasks: a question whose answer is known because the image itself was changed to ask it.

The methods of the years before contrast: which way is up, where does this piece belong, which color was it. One
network, one loss that says how well the question is answered, no pairs, no teacher. Take them where a step must be
cheap, or where the question is close to what you want to know. Their features are weaker than those of the other
families, and the last layers know the question better than the image: probe those before.
"""
