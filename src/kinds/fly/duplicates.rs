//! Duplicates: two objects that were created for one slot. It happens when a proxy delivers a request twice, and when two first
//! applies run at the same time. The older object is kept.

/// The object to keep instead of the one that this process has just created; `None` when its own is the oldest.
/// `created_at_and_id` returns the creation time and the id of an object.
///
/// Fly's creation times have a resolution of one second, so two can be equal. Then the own object is given up: after a request
/// that was delivered twice, no other process would delete either of them. If two processes both give up their own, none
/// is left, and the next apply creates one.
pub(super) fn keep_oldest<T>(
    created: &T,
    others: Vec<T>,
    created_at_and_id: impl Fn(&T) -> (&str, &str),
) -> Option<T> {
    let (own_time, own_id) = created_at_and_id(created);
    let older = others.into_iter().filter(|other| {
        created_at_and_id(other).0 <= own_time && created_at_and_id(other).1 != own_id
    });
    older.min_by(|a, b| created_at_and_id(a).cmp(&created_at_and_id(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_oldest_and_gives_up_its_own_at_equal_time() {
        let all = [
            ("12:00", "b"),
            ("12:01", "a"),
            ("12:01", "c"),
            ("12:02", "d"),
        ];
        for (created, expected) in [(0, None), (1, Some(0)), (2, Some(0)), (3, Some(0))] {
            let oldest = keep_oldest(&all[created], all.to_vec(), |one| *one);
            assert_eq!(oldest, expected.map(|index: usize| all[index]), "{created}");
        }
        let twins = [("12:00", "a"), ("12:00", "b")];
        for created in twins {
            assert!(
                keep_oldest(&created, twins.to_vec(), |one| *one)
                    .is_some_and(|oldest| oldest != created)
            );
        }
    }
}
