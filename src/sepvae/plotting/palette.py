"""Colours with one meaning in all figures: those of Okabe and Ito, safe for colour blindness."""

BACKGROUND = "#0072B2"
TARGET = "#D55E00"
COMMON, SALIENT = BACKGROUND, TARGET  # common parts are in all samples, salient parts in targets only
MORE, LESS = "#B2182B", "#2166AC"  # ends of DIFFERENCES; distinct from the colours of groups
DIFFERENCES, AMOUNTS = "RdBu_r", "viridis"  # colour maps
CATEGORIES = (BACKGROUND, TARGET, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
NEUTRAL = "#333333"
OTHERS = "#8C8C8C"
MISSING = "#C8C8C8"
