//! The factor that spreads numbers over tables.

/// The golden ratio in 64 bits: spreads what differs in few bits over the highest bits of the product.
pub(crate) const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
