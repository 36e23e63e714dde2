//! Structure of the page: what is packed is what the profile has, and nothing of it is outside.
