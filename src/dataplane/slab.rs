//! A table whose rows keep their numbers, and whose empty rows are used again.

/// Rows by number.
#[derive(Debug)]
pub(in crate::dataplane) struct Slab<T> {
    rows: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(in crate::dataplane) const fn new() -> Self {
        Self { rows: Vec::new(), free: Vec::new() }
    }

    /// Fills an empty row with what `make` makes for its number.
    pub(in crate::dataplane) fn insert_with(&mut self, make: impl FnOnce(u32) -> T) -> u32 {
        if let Some(row) = self.free.pop() {
            self.rows[row as usize] = Some(make(row));
            return row;
        }
        let row = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        self.rows.push(Some(make(row)));
        row
    }

    /// Their numbers are below this.
    pub(in crate::dataplane) fn rows(&self) -> u32 {
        self.rows.len() as u32
    }

    /// `None`: the row is empty, or lent.
    pub(in crate::dataplane) fn get(&self, row: u32) -> Option<&T> {
        self.rows.get(row as usize)?.as_ref()
    }

    pub(in crate::dataplane) fn get_mut(&mut self, row: u32) -> Option<&mut T> {
        self.rows.get_mut(row as usize)?.as_mut()
    }

    /// Takes out what [`Slab::give_back`] or [`Slab::release`] follows for. The row stays taken.
    pub(in crate::dataplane) fn lend(&mut self, row: u32) -> Option<T> {
        self.rows.get_mut(row as usize)?.take()
    }

    pub(in crate::dataplane) fn give_back(&mut self, row: u32, it: T) {
        self.rows[row as usize] = Some(it);
    }

    /// The row that was lent is empty.
    pub(in crate::dataplane) fn release(&mut self, row: u32) {
        self.free.push(row);
    }

    /// Empties a row.
    pub(in crate::dataplane) fn remove(&mut self, row: u32) -> Option<T> {
        let it = self.lend(row)?;
        self.release(row);
        Some(it)
    }

    /// Takes all that is there, and has no rows any more.
    pub(in crate::dataplane) fn drain(&mut self) -> Vec<T> {
        self.free.clear();
        std::mem::take(&mut self.rows).into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_numbers_and_are_used_again() {
        let mut slab = Slab::new();
        let rows: Vec<u32> = (0..3).map(|_| slab.insert_with(|row| row * 10)).collect();
        assert_eq!((rows, slab.rows()), (vec![0, 1, 2], 3));
        assert_eq!((slab.remove(1), slab.remove(1), slab.remove(9)), (Some(10), None, None));
        assert_eq!((slab.get(0).copied(), slab.get(1).copied(), slab.get_mut(2).copied()), (Some(0), None, Some(20)));
        assert_eq!(slab.insert_with(|row| row + 100), 1);
        assert_eq!(slab.get(1), Some(&101));
        assert_eq!(slab.drain(), [0, 101, 20]);
        assert_eq!(slab.insert_with(|row| row), 0);
    }

    #[test]
    fn a_lent_row_is_given_to_nobody_else() {
        let mut slab = Slab::new();
        slab.insert_with(|_| "a");
        assert_eq!(slab.lend(0), Some("a"));
        assert_eq!((slab.get(0).copied(), slab.lend(0)), (None, None));
        assert_eq!(slab.insert_with(|_| "b"), 1);
        slab.give_back(0, "a");
        assert_eq!((slab.get(0).copied(), slab.lend(0)), (Some("a"), Some("a")));
        slab.release(0);
        assert_eq!(slab.insert_with(|_| "c"), 0);
    }
}
