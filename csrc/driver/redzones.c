/* With AddressSanitizer: memory that nobody may touch for a while. Without it these do nothing. */

#if defined(__SANITIZE_ADDRESS__)
#define HAVE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ASAN 1
#endif
#endif

#ifdef HAVE_ASAN
void __asan_poison_memory_region(const volatile void *from, size_t n_bytes);
void __asan_unpoison_memory_region(const volatile void *from, size_t n_bytes);
#else
#define __asan_poison_memory_region(from, n_bytes) ((void)(from), (void)(n_bytes))
#define __asan_unpoison_memory_region(from, n_bytes) ((void)(from), (void)(n_bytes))
#endif

static void forbid(const void *from, size_t n_bytes)
{
	__asan_poison_memory_region(from, n_bytes);
}

static void allow(const void *from, size_t n_bytes)
{
	__asan_unpoison_memory_region(from, n_bytes);
}
