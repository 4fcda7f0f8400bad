use super::super::*;
use crate::shape::Shape;
const MNIST: Shape = Shape { channels: 1, height: 28, width: 28 };
#[test]
#[allow(clippy::disallowed_methods)]
fn timing() {
    let recipe = Recipe::load("resnet8").unwrap();
    for level in crate::simd::Level::ALL {
        let Ok(mut net) = Network::at_level(&recipe, MNIST, 10, level) else { continue };
        let p = net.init(1);
        for batch in [16usize, 64] {
            let images: Vec<f32> = (0..batch * 784).map(|i| (i % 17) as f32 / 17.0).collect();
            let labels: Vec<u8> = (0..batch).map(|i| (i % 10) as u8).collect();
            let mut g = vec![0.0; p.len()];
            net.gradient(&p, &images, &labels, &mut g);
            let mut best = f64::MAX;
            for _ in 0..10 {
                let t = std::time::Instant::now();
                let l = net.gradient(&p, &images, &labels, &mut g);
                best = best.min(t.elapsed().as_secs_f64());
                assert!(l > 0.0);
            }
            eprintln!("{level} batch {batch}: {:.2} ms {:.1} GF/s", best * 1e3, 0.1076 * batch as f64 / best);
        }
    }
}
