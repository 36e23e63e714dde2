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
        }
    };
}
