"""Ways to reach a person. A message never carries anything of a pupil: it says where to look."""
