//! Where ids and random numbers come from: the operating system.

use domain::entropy::Entropy;
use uuid::Uuid;

/// Ids in the order of time (UUID version 7), numbers from the system's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "this is the owner of new ids")]
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }

    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    fn unit(&self) -> f64 {
        // The generator fails only on a machine that has none; then jitter is the middle of its range.
        getrandom::u64().map_or(0.5, |bits| (bits >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_within_their_range_and_differ() {
        let numbers: Vec<f64> = (0..1_000).map(|_| SystemEntropy.unit()).collect();
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        assert!(numbers.windows(2).any(|pair| pair[0] < pair[1]) && numbers.windows(2).any(|pair| pair[0] > pair[1]));
    }

    #[test]
    fn ids_are_in_the_order_of_their_making() {
        let ids: Vec<Uuid> = (0..1_000).map(|_| SystemEntropy.uuid()).collect();
        assert!(ids.is_sorted());
        assert_eq!(ids[0].get_version_num(), 7);
    }
}
