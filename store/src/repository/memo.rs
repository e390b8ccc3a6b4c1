//! A bounded memory of the newest entries, in two generations: when the young one is full, it
//! becomes the old one and the old one is forgotten. Nothing is allocated for an entry of its own.

use std::collections::HashMap;
use std::hash::Hash;

pub(super) struct Memo<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    /// Entries of one generation.
    capacity: usize,
}

impl<K: Eq + Hash, V: Clone> Memo<K, V> {
    /// A memory of at least the `capacity` newest entries, and at most twice as many.
    pub fn new(capacity: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), capacity }
    }

    pub fn get(&self, key: &K) -> Option<V> {
        self.young.get(key).or_else(|| self.old.get(key)).cloned()
    }

    pub fn contains(&self, key: &K) -> bool {
        self.young.contains_key(key) || self.old.contains_key(key)
    }

    pub fn put(&mut self, key: K, value: V) {
        if self.young.len() >= self.capacity && !self.young.contains_key(&key) {
            self.old = std::mem::replace(&mut self.young, HashMap::with_capacity(self.capacity));
        }
        self.young.insert(key, value);
    }

    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_entries_are_remembered_and_the_oldest_are_not() {
        let mut memo = Memo::new(10);
        for number in 0..100 {
            memo.put(number, number * 2);
            assert!((0..=9.min(number)).all(|back| memo.get(&(number - back)) == Some((number - back) * 2)));
        }
        assert!(memo.young.len() + memo.old.len() <= 20);
        assert_eq!(memo.get(&0), None);
    }

    #[test]
    fn newest_value_of_a_key_counts_and_clearing_forgets_it() {
        let mut memo = Memo::new(2);
        memo.put("a", 1);
        memo.put("b", 1);
        memo.put("c", 1);
        memo.put("a", 2);
        assert_eq!(memo.get(&"a"), Some(2));
        memo.clear();
        assert_eq!(memo.get(&"a"), None);
    }
}
