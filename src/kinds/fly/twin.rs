//! Of two things that were made for one slot the later one goes: a request that a proxy delivers twice makes two, and so
//! do two first applies at once. Whoever looks must come to the same answer.

/// The first of those that were made before this one, by the moment of their making and, at the same moment, their ids.
pub(super) fn elder<T>(made: &T, others: Vec<T>, born: impl Fn(&T) -> (&str, &str)) -> Option<T> {
    let before = others.into_iter().filter(|other| born(other) < born(made));
    before.min_by(|a, b| born(a).cmp(&born(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_keeps_the_same_one() {
        for all in [
            [("12:00", "b"), ("12:01", "a"), ("12:02", "c")],
            // Made in the same moment.
            [("12:00", "b"), ("12:00", "a"), ("12:00", "c")],
        ] {
            let first = *all.iter().min().unwrap();
            for made in all {
                let kept = elder(&made, all.to_vec(), |one| *one);
                assert_eq!(kept, (made != first).then_some(first), "{made:?} of {all:?}");
            }
        }
    }
}
