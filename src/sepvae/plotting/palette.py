"""The colours that mean the same in every figure: Okabe and Ito's, which colour-blind readers tell apart."""

BACKGROUND = "#0072B2"
TARGET = "#D55E00"
COMMON, SALIENT = BACKGROUND, TARGET  # what all have, and what only targets have
MORE, LESS = "#B2182B", "#2166AC"  # ends of DIFFERENCES; not the colours of groups
DIFFERENCES, AMOUNTS = "RdBu_r", "viridis"  # colour maps
CATEGORIES = (BACKGROUND, TARGET, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
NEUTRAL = "#333333"
OTHERS = "#8C8C8C"
MISSING = "#C8C8C8"
