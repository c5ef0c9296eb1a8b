// view.rs - slices with a shape and strides, which never reach outside the slice.
// SPDX-License-Identifier: BSD-3-Clause
use std::marker::PhantomData;

use crate::Error;

/// Where the elements of an array are: checked once, when it is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout<const R: usize> {
    pub shape: [i64; R],
    pub strides: [i64; R],
}

impl<const R: usize> Layout<R> {
    fn dense(shape: [usize; R]) -> Result<Self, Error> {
        let mut strides = [0; R];
        let mut stride = 1usize;
        for r in (0..R).rev() {
            strides[r] = isize::try_from(stride).map_err(|_| too_large(&shape))?;
            stride = stride.checked_mul(shape[r].max(1)).ok_or_else(|| too_large(&shape))?;
        }
        Self::new(shape, strides)
    }

    fn new(shape: [usize; R], strides: [isize; R]) -> Result<Self, Error> {
        let mut layout = Self { shape: [0; R], strides: [0; R] };
        for r in 0..R {
            layout.shape[r] = i64::try_from(shape[r]).map_err(|_| too_large(&shape))?;
            layout.strides[r] = strides[r] as i64; // an isize is no wider
        }
        Ok(layout)
    }

    fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// The lowest and the highest element, counted from the first; none where they cannot be counted.
    fn reach(&self) -> Option<(i64, i64)> {
        let (mut low, mut high) = (0i64, 0i64);
        for (size, stride) in self.shape.iter().zip(&self.strides) {
            let step = (size - 1).checked_mul(*stride)?;
            let end = if step < 0 { &mut low } else { &mut high };
            *end = end.checked_add(step)?;
        }
        Some((low, high))
    }

    /// All elements are among `count`, the first being number `offset`.
    fn check(&self, count: usize, offset: usize) -> Result<(), Error> {
        if self.is_empty() && offset <= count {
            return Ok(());
        }
        let shape = self.shape;
        let Self { strides, .. } = self;
        let fits = match (self.reach(), i64::try_from(offset)) {
            (Some((low, high)), Ok(first)) if !self.is_empty() => {
                let last = first.checked_add(high).and_then(|last| usize::try_from(last).ok());
                first + low >= 0 && last.map_or(false, |last| last < count)
            }
            _ => false,
        };
        if fits {
            return Ok(());
        }
        Err(Error::argument(format!(
            "view: expected the shape {shape:?} with the strides {strides:?} from element {offset} on to lie \
             within the slice, got {count} numbers"
        )))
    }

    /// No two indices are the same element.
    fn check_distinct(&self) -> Result<(), Error> {
        if self.is_empty() {
            return Ok(());
        }
        let mut axes: Vec<(u64, u64)> = self
            .shape
            .iter()
            .zip(&self.strides)
            .filter(|(size, _)| **size > 1)
            .map(|(size, stride)| (stride.unsigned_abs(), size.unsigned_abs()))
            .collect();
        axes.sort_unstable();
        let mut reach = 1;
        for (stride, size) in axes {
            if stride < reach {
                let strides = self.strides;
                return Err(Error::argument(format!(
                    "view: expected strides that write no element twice, got {strides:?}"
                )));
            }
            reach += stride.saturating_mul(size - 1);
        }
        Ok(())
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.shape.swap(a, b);
        self.strides.swap(a, b);
    }

    /// Rows without gaps, as the library wants matrices.
    pub fn has_rows(&self) -> bool {
        self.shape[R - 1] <= 1 || self.strides[R - 1] == 1
    }
}

fn too_large<const R: usize>(shape: &[usize; R]) -> Error {
    Error::argument(format!("view: expected a shape whose elements can be counted, got {shape:?}"))
}

fn check_dense<const R: usize>(layout: &Layout<R>, shape: [usize; R], count: usize) -> Result<(), Error> {
    let wanted = if layout.is_empty() { 0 } else { shape.iter().product() };
    if wanted <= count {
        return Ok(());
    }
    Err(Error::argument(format!(
        "view: expected at least {wanted} numbers for the shape {shape:?}, got {count}"
    )))
}

/// A slice to read, with a shape of `R` sizes.
///
/// ```
/// let numbers = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
/// let rows = attn::View::new(&numbers, [2, 3])?;
/// let columns = rows.swap_axes(0, 1);
/// assert_eq!(columns.shape(), [3, 2]);
/// let backwards = attn::View::strided(&numbers, 3, [2, 3], [-3, 1])?;
/// assert!(attn::View::strided(&numbers, 0, [2, 3], [-3, 1]).is_err());
/// # Ok::<(), attn::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct View<'a, T, const R: usize> {
    pub(crate) data: *const T,
    pub(crate) layout: Layout<R>,
    lifetime: PhantomData<&'a [T]>,
}

// SAFETY: it is a shared slice.
unsafe impl<T: Sync, const R: usize> Send for View<'_, T, R> {}
// SAFETY: likewise.
unsafe impl<T: Sync, const R: usize> Sync for View<'_, T, R> {}

impl<'a, T, const R: usize> View<'a, T, R> {
    /// The elements in the order of the shape, without gaps, from the first on.
    ///
    /// # Errors
    ///
    /// The slice is too short.
    pub fn new(data: &'a [T], shape: [usize; R]) -> Result<Self, Error> {
        let layout = Layout::dense(shape)?;
        check_dense(&layout, shape, data.len())?;
        Ok(Self { data: data.as_ptr(), layout, lifetime: PhantomData })
    }

    /// Element `[a, b, ..]` is `data[offset + a * strides[0] + b * strides[1] + ..]`. Strides may be negative or 0.
    ///
    /// # Errors
    ///
    /// An element would lie outside the slice.
    pub fn strided(
        data: &'a [T],
        offset: usize,
        shape: [usize; R],
        strides: [isize; R],
    ) -> Result<Self, Error> {
        let layout = Layout::new(shape, strides)?;
        layout.check(data.len(), offset)?;
        // SAFETY: offset is at most the length, which check() has seen. Made of the whole slice, as strides may be
        // negative.
        let first = unsafe { data.as_ptr().add(offset) };
        Ok(Self { data: first, layout, lifetime: PhantomData })
    }

    /// The same with two axes in each other's place: (B, N, H, D) becomes (B, H, N, D) by `swap_axes(1, 2)`.
    #[must_use]
    pub fn swap_axes(mut self, a: usize, b: usize) -> Self {
        self.layout.swap(a, b);
        self
    }

    /// The same with axes of size 1 repeated to those of a shape.
    ///
    /// # Errors
    ///
    /// An axis of another size differs.
    pub fn broadcast(mut self, shape: [usize; R]) -> Result<Self, Error> {
        for r in 0..R {
            let wanted = i64::try_from(shape[r]).map_err(|_| too_large(&shape))?;
            if self.layout.shape[r] == wanted {
                continue;
            }
            if self.layout.shape[r] != 1 {
                let shape_now = self.shape();
                return Err(Error::argument(format!(
                    "view: expected a shape that broadcasts to {shape:?}, got {shape_now:?}"
                )));
            }
            self.layout.shape[r] = wanted;
            self.layout.strides[r] = 0;
        }
        Ok(self)
    }

    /// The size of each axis.
    #[must_use]
    pub fn shape(&self) -> [usize; R] {
        self.layout.shape.map(|size| size as usize) // it came from one
    }
}

/// A slice to write, with a shape of `R` sizes.
///
/// ```
/// let mut numbers = [0.0f32; 12];
/// let every_second = attn::ViewMut::strided(&mut numbers, 0, [3, 2], [4, 1])?;
/// assert!(attn::ViewMut::strided(&mut numbers, 0, [3, 2], [1, 1]).is_err()); // an element twice
/// # Ok::<(), attn::Error>(())
/// ```
#[derive(Debug)]
pub struct ViewMut<'a, T, const R: usize> {
    pub(crate) data: *mut T,
    pub(crate) layout: Layout<R>,
    lifetime: PhantomData<&'a mut [T]>,
}

// SAFETY: it is a slice that belongs to it alone.
unsafe impl<T: Send, const R: usize> Send for ViewMut<'_, T, R> {}
// SAFETY: nothing can be read or written through a shared reference to it.
unsafe impl<T: Sync, const R: usize> Sync for ViewMut<'_, T, R> {}

impl<'a, T, const R: usize> ViewMut<'a, T, R> {
    /// The elements in the order of the shape, without gaps, from the first on.
    ///
    /// # Errors
    ///
    /// The slice is too short.
    pub fn new(data: &'a mut [T], shape: [usize; R]) -> Result<Self, Error> {
        let layout = Layout::dense(shape)?;
        check_dense(&layout, shape, data.len())?;
        Ok(Self { data: data.as_mut_ptr(), layout, lifetime: PhantomData })
    }

    /// Element `[a, b, ..]` is `data[offset + a * strides[0] + b * strides[1] + ..]`.
    ///
    /// # Errors
    ///
    /// An element would lie outside the slice, or be there twice.
    pub fn strided(
        data: &'a mut [T],
        offset: usize,
        shape: [usize; R],
        strides: [isize; R],
    ) -> Result<Self, Error> {
        let layout = Layout::new(shape, strides)?;
        layout.check(data.len(), offset)?;
        layout.check_distinct()?;
        // SAFETY: offset is at most the length, which check() has seen. Made of the whole slice, as strides may be
        // negative.
        let first = unsafe { data.as_mut_ptr().add(offset) };
        Ok(Self { data: first, layout, lifetime: PhantomData })
    }

    /// The same with two axes in each other's place.
    #[must_use]
    pub fn swap_axes(mut self, a: usize, b: usize) -> Self {
        self.layout.swap(a, b);
        self
    }

    /// The size of each axis.
    #[must_use]
    pub fn shape(&self) -> [usize; R] {
        self.layout.shape.map(|size| size as usize) // it came from one
    }
}
