//! Blocks are stepped while a round is under way: whoever ends it half way must not see that.

use super::*;

#[test]
fn a_run_that_is_stopped_half_way_ends_with_the_parameters_of_a_whole_round() {
    let (mut halves, net) = (0, "rate=20mbit".to_owned());
    let case = Case { net, ..Case::default() };
    for millis in (50..400).step_by(7) {
        let mut world = case.world();
        let whole =
            |core: &ServerCore| (core.parameters().to_vec(), core.values().velocity.to_vec());
        let mut last = whole(world.server());
        let outcome = world.run(Duration::from_millis(millis), |stamped, core| {
            if matches!(stamped.event, Event::RoundEnded(_)) {
                last = whole(core);
            }
            true
        });
        if outcome.is_some() {
            break;
        }
        halves += u32::from(whole(world.server()) != last);
        world.server.stop("enough");
        assert_eq!(whole(world.server()), last, "after {millis} ms");
    }
    assert!(halves > 10, "{halves} stops were in the middle of a step");
}
