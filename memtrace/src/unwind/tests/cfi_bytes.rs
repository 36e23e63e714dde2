//! Call frame information byte by byte.

/// The usual initial instructions: the CFA is `rsp + 8`, the return address at `CFA - 8`.
pub(super) const USUAL: &[u8] = &[0x0c, 7, 8, 0x90, 1];

/// Entries of a section.
#[derive(Clone, Debug)]
pub(super) struct CfiBytes {
    pub(super) bytes: Vec<u8>,
    /// Whether this is `.debug_frame`.
    debug: bool,
    /// Where the last common part is.
    cie: usize,
}

impl CfiBytes {
    pub(super) const fn eh_frame() -> Self {
        Self {
            bytes: Vec::new(),
            debug: false,
            cie: 0,
        }
    }

    pub(super) const fn debug_frame() -> Self {
        Self {
            bytes: Vec::new(),
            debug: true,
            cie: 0,
        }
    }

    /// A common part: code and data alignment 1 and -8, the return address in register 16, addresses as they are.
    pub(super) fn cie(&mut self, augmentation: &str, instructions: &[u8]) {
        self.cie = self.bytes.len();
        let id = if self.debug { u32::MAX } else { 0 };
        let mut body = id.to_le_bytes().to_vec();
        body.push(1);
        body.extend(augmentation.as_bytes());
        body.extend([0, 1, 0x78, 16]);
        if augmentation.starts_with('z') {
            body.push(0);
        }
        body.extend(instructions);
        self.entry(&body);
    }

    /// A function of the last common part.
    pub(super) fn fde(&mut self, begin: u64, length: u64, augmented: bool, instructions: &[u8]) {
        let to_cie = if self.debug {
            self.cie
        } else {
            self.bytes.len() + 4 - self.cie
        };
        let mut body = u32::try_from(to_cie).unwrap().to_le_bytes().to_vec();
        body.extend(begin.to_le_bytes());
        body.extend(length.to_le_bytes());
        if augmented {
            body.push(0);
        }
        body.extend(instructions);
        self.entry(&body);
    }

    /// The entry that ends `.eh_frame`.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.bytes.extend([0; 4]);
        self.bytes
    }

    fn entry(&mut self, body: &[u8]) {
        let length = body.len().next_multiple_of(4);
        self.bytes.extend(u32::try_from(length).unwrap().to_le_bytes());
        self.bytes.extend(body);
        // DW_CFA_nop
        self.bytes.resize(self.bytes.len() + length - body.len(), 0);
    }
}
