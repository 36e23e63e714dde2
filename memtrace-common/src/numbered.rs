//! Enumerations whose numbers come from elsewhere: the wire, or a table.

/// Declares one from one list, so that numbers and the way back from them cannot drift apart.
macro_rules! numbered {
    ($(#[$about:meta])* pub enum $name:ident; $($(#[$doc:meta])* $variant:ident = $value:literal;)*) => {
        $(#[$about])*
        #[repr(u8)]
        pub enum $name {
            $($(#[$doc])* $variant = $value,)*
        }

        impl $name {
            /// Every one, in the order of the list.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// That of a number, or `None` for one that this version does not know.
            pub const fn from_u8(value: u8) -> Option<Self> {
                match value {
                    $($value => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The same of a number that has more room in a record than it needs.
            pub const fn from_number(value: u32) -> Option<Self> {
                if value > u8::MAX as u32 {
                    return None;
                }
                Self::from_u8(value as u8)
            }
        }
    };
}
