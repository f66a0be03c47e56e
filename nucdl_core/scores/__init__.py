"""How well a segmentation agrees with the truth or with another one, by the rules of several authors."""
