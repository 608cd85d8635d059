//! Size: what reading a JSON text takes in memory at the most, counted while it arrives, before it is read.

use crate::call::MAX_ARGUMENT_VALUES;

/// What a byte takes: itself, a text that is decoded in a buffer that grows, and the text that comes of it.
const PER_BYTE: usize = 4;

/// What a value takes: its place in a list that grows, once more in the call that is made of it, and the text of a short one.
const PER_VALUE: usize = 160;

/// What a value takes besides where it is a member of an object: a place in a node of a tree, which is half full at the least, and the
/// text of its name, both twice.
const PER_MEMBER: usize = 96;

/// What an object takes besides: a node of a tree, which has room for eleven members however few there are, twice.
const PER_OBJECT: usize = 1280;

/// A JSON text of which so much has arrived.
///
/// Only what stands outside of texts counts, so that a long text costs its bytes, whatever is written in it. Of what is no JSON, more may
/// be counted than is read, and not less: the reader stops where it is none.
#[derive(Debug, Clone, Copy, Default)]
pub struct JsonSize {
    bytes: usize,
    /// Without the outermost one.
    values: usize,
    members: usize,
    objects: usize,
    within: Within,
}

/// Where the next byte stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Within {
    #[default]
    Structure,
    Text,
    /// Behind a backslash in a text.
    Escape,
}

impl JsonSize {
    /// The size of a whole text.
    pub fn of(json: &[u8]) -> JsonSize {
        let mut size = JsonSize::default();
        size.add(json);
        size
    }

    /// Counts what comes next.
    pub fn add(&mut self, next: &[u8]) {
        self.bytes += next.len();
        for byte in next {
            self.within = match (self.within, byte) {
                (Within::Text, b'"') => Within::Structure,
                (Within::Text, b'\\') => Within::Escape,
                (Within::Text | Within::Escape, _) => Within::Text,
                (Within::Structure, b'"') => Within::Text,
                (Within::Structure, byte) => {
                    // Each value but the first of all stands behind one of these.
                    self.values += usize::from(matches!(byte, b',' | b'[' | b'{'));
                    self.members += usize::from(*byte == b':');
                    self.objects += usize::from(*byte == b'{');
                    Within::Structure
                }
            };
        }
    }

    /// How many bytes have come.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The bytes of memory that it takes at the most until a call is judged that is made of it, if it will have as many bytes as are
    /// `declared`. The reader stops at 200,000 values.
    pub fn memory(&self, declared: usize) -> usize {
        let read = |many: usize, each: usize| many.min(MAX_ARGUMENT_VALUES) * each;
        let built = read(self.values + 1, PER_VALUE)
            + read(self.members, PER_MEMBER)
            + read(self.objects, PER_OBJECT);
        self.bytes.max(declared).saturating_mul(PER_BYTE).saturating_add(built)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_texts_counts_as_bytes_wherever_the_text_is_cut() {
        let text = r#"{"a\"{[,:":["{[,:\\",{"\\":1}],"b":{}}"#;
        for cut in 0..=text.len() {
            let (first, rest) = text.as_bytes().split_at(cut);
            let mut size = JsonSize::of(first);
            size.add(rest);
            let found = (size.bytes(), size.values, size.members, size.objects);
            // A list, a text, an object, 1, an object; and one more behind each bracket that has none.
            assert_eq!(found, (text.len(), 6, 3, 3), "cut at {cut}");
        }
        assert_eq!(JsonSize::default().memory(0), PER_VALUE);
        assert_eq!(JsonSize::of(b"{}").memory(10), 10 * PER_BYTE + 2 * PER_VALUE + PER_OBJECT);
        assert_eq!(JsonSize::of(b"{}").memory(usize::MAX), usize::MAX);
    }
}
