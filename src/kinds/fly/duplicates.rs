//! Of two things that were made for one slot the later one goes: a request that a proxy delivers twice makes two, and so
//! do two first applies at once.

/// The one to keep in place of what was just made: the first of those that are no younger. At the same moment, which Fly
/// tells in seconds, what we made gives way: of a request that was delivered twice it is the second, and nobody else would
/// take it away. Two runs that both give way leave none, and the next apply makes one.
pub(super) fn keep_oldest<T>(
    made: &T,
    others: Vec<T>,
    born: impl Fn(&T) -> (&str, &str),
) -> Option<T> {
    let (now, own) = born(made);
    let before = others
        .into_iter()
        .filter(|other| born(other).0 <= now && born(other).1 != own);
    before.min_by(|a, b| born(a).cmp(&born(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_stays_and_what_was_made_in_the_same_moment_gives_way() {
        let all = [
            ("12:00", "b"),
            ("12:01", "a"),
            ("12:01", "c"),
            ("12:02", "d"),
        ];
        for (made, kept) in [(0, None), (1, Some(0)), (2, Some(0)), (3, Some(0))] {
            let elder = keep_oldest(&all[made], all.to_vec(), |one| *one);
            assert_eq!(elder, kept.map(|at: usize| all[at]), "{made}");
        }
        let twins = [("12:00", "a"), ("12:00", "b")];
        for made in twins {
            assert!(
                keep_oldest(&made, twins.to_vec(), |one| *one).is_some_and(|kept| kept != made)
            );
        }
    }
}
