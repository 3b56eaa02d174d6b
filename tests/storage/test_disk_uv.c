/* The real disk, both ways of writing: its calls one by one, then a storage that lives on it. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/loop.h"
#include "storage/disk_uv.h"
#include "storage/storage.h"

#define SEGMENT (32u * 4096u)

/* ---- a loop over libuv, as small as these tests need ---- */

struct timer {
    uv_timer_t uv;
    void (*fired)(void *arg);
    void *arg;
};

struct rig {
    char directory[64]; /* holds `data` */
    char data[80];
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_idle_t idle; /* while posts are queued, the loop doesn't sleep */
    struct post *posts;
    struct loop loop;
    struct disk disk;
    bool disk_open;
    struct error_text text;
    unsigned done;
    unsigned failed;
    int os_error;
    bool closed;
};

static uint64_t rig_mono(void *impl)
{
    (void)impl;
    return uv_hrtime();
}

static int64_t rig_wall(void *impl)
{
    (void)impl;
    return 0;
}

static void rig_random(void *impl, void *bytes, size_t len)
{
    (void)impl;
    assert_int_equal(uv_random(NULL, NULL, bytes, len, 0, NULL), 0);
}

static void timer_told(uv_timer_t *uv)
{
    struct timer *timer = uv->data;
    timer->fired(timer->arg);
}

static struct timer *rig_timer_open(void *impl, void (*fired)(void *arg), void *arg)
{
    struct rig *rig = impl;
    struct timer *timer = calloc(1, sizeof *timer);
    CHECK(timer != NULL);
    timer->fired = fired;
    timer->arg = arg;
    assert_int_equal(uv_timer_init(&rig->uv, &timer->uv), 0);
    timer->uv.data = timer;
    return timer;
}

static void rig_timer_start(struct timer *timer, uint64_t delay_ms)
{
    assert_int_equal(uv_timer_start(&timer->uv, timer_told, delay_ms, 0), 0);
}

static void rig_timer_stop(struct timer *timer)
{
    assert_int_equal(uv_timer_stop(&timer->uv), 0);
}

static void timer_freed(uv_handle_t *handle)
{
    free(handle->data);
}

static void rig_timer_close(struct timer *timer)
{
    uv_close((uv_handle_t *)&timer->uv, timer_freed);
}

static void idle_told(uv_idle_t *idle)
{
    (void)idle;
}

static void rig_post(void *impl, struct post *post)
{
    struct rig *rig = impl;
    if (post->queued == 0) {
        post->queued = 1;
        post->next = rig->posts;
        rig->posts = post;
        assert_int_equal(uv_idle_start(&rig->idle, idle_told), 0);
    }
}

static void rig_post_cancel(void *impl, struct post *post)
{
    struct rig *rig = impl;
    struct post **link = &rig->posts;
    while (*link != NULL && *link != post) {
        link = &(*link)->next;
    }
    if (*link != NULL) {
        *link = post->next;
    }
    post->queued = 0;
}

static void prepare_told(uv_prepare_t *prepare)
{
    struct rig *rig = prepare->data;
    while (rig->posts != NULL) {
        struct post *post = rig->posts;
        rig->posts = post->next;
        post->queued = 0;
        post->run(post);
    }
    assert_int_equal(uv_idle_stop(&rig->idle), 0);
}

static void work_run(uv_work_t *work)
{
    struct work *ours = work->data;
    ours->run(ours);
}

static void work_done(uv_work_t *work, int status)
{
    struct work *ours = work->data;
    assert_int_equal(status, 0);
    free(work);
    ours->done(ours);
}

static void rig_work(void *impl, struct work *work)
{
    struct rig *rig = impl;
    uv_work_t *uv = calloc(1, sizeof *uv);
    CHECK(uv != NULL);
    uv->data = work;
    assert_int_equal(uv_queue_work(&rig->uv, uv, work_run, work_done), 0);
}

/* ---- a directory, a loop, a disk ---- */

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    CHECK(rig != NULL);
    const char *base = getenv("TMPDIR");
    (void)snprintf(rig->directory, sizeof rig->directory, "%.40s/baton-XXXXXX", base == NULL ? "/tmp" : base);
    assert_non_null(mkdtemp(rig->directory));
    (void)snprintf(rig->data, sizeof rig->data, "%s/data", rig->directory);
    assert_int_equal(uv_loop_init(&rig->uv), 0);
    assert_int_equal(uv_prepare_init(&rig->uv, &rig->prepare), 0);
    assert_int_equal(uv_idle_init(&rig->uv, &rig->idle), 0);
    rig->prepare.data = rig;
    assert_int_equal(uv_prepare_start(&rig->prepare, prepare_told), 0);
    uv_unref((uv_handle_t *)&rig->prepare);
    rig->loop = (struct loop){.impl = rig,
                              .mono_ns = rig_mono,
                              .wall_ms = rig_wall,
                              .random = rig_random,
                              .timer_open = rig_timer_open,
                              .timer_start = rig_timer_start,
                              .timer_stop = rig_timer_stop,
                              .timer_close = rig_timer_close,
                              .post = rig_post,
                              .post_cancel = rig_post_cancel,
                              .work = rig_work};
    *state = rig;
    return 0;
}

static void told_closed(void *arg)
{
    struct rig *rig = arg;
    rig->closed = true;
}

static void disk_shut(struct rig *rig)
{
    rig->closed = false;
    disk_uv_close(&rig->disk, told_closed, rig);
    rig->disk_open = false;
    (void)uv_run(&rig->uv, UV_RUN_DEFAULT);
    assert_true(rig->closed);
}

static enum error disk_start(struct rig *rig, enum disk_uv_io io)
{
    enum error error = disk_uv_open(&rig->disk, &rig->uv, rig->data, io, &rig->text);
    rig->disk_open = error == ERROR_NONE;
    return error;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    if (rig->disk_open) {
        disk_shut(rig);
    }
    uv_close((uv_handle_t *)&rig->prepare, NULL);
    uv_close((uv_handle_t *)&rig->idle, NULL);
    (void)uv_run(&rig->uv, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&rig->uv), 0);
    assert_int_equal(nftw(rig->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(rig);
    return 0;
}

/* ---- calls one by one ---- */

static void the_directory_is_made_and_private(void **state)
{
    struct rig *rig = *state;
    struct stat status;
    assert_int_equal(disk_start(rig, DISK_UV_AUTO), ERROR_NONE);
    assert_int_equal(stat(rig->data, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    disk_shut(rig);
    assert_int_equal(disk_start(rig, DISK_UV_AUTO), ERROR_NONE); /* it may be there */
}

static void a_missing_parent_is_an_error(void **state)
{
    struct rig *rig = *state;
    (void)snprintf(rig->data, sizeof rig->data, "%s/no/data", rig->directory);
    assert_int_equal(disk_start(rig, DISK_UV_AUTO), ERROR_NOT_FOUND);
    assert_non_null(strstr(rig->text.text, "/no/data"));
}

static void kernel_aio_is_used_or_refused(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(disk_start(rig, DISK_UV_AUTO), ERROR_NONE);
    bool aio = strcmp(rig->disk.log_mode(rig->disk.impl), "aio") == 0;
    disk_shut(rig);
    enum error error = disk_start(rig, DISK_UV_AIO);
    assert_int_equal(error, aio ? ERROR_NONE : ERROR_IO);
    if (aio) {
        assert_string_equal(rig->disk.log_mode(rig->disk.impl), "aio");
    } else {
        assert_non_null(strstr(rig->text.text, "--disk-io"));
    }
}

static void count_name(void *arg, const char *name)
{
    assert_true(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
    (*(unsigned *)arg)++;
}

static void probing_leaves_nothing_behind(void **state)
{
    struct rig *rig = *state;
    unsigned names = 0;
    int os_error = 0;
    assert_int_equal(disk_start(rig, DISK_UV_AUTO), ERROR_NONE);
    assert_int_equal(rig->disk.list(rig->disk.impl, ".", count_name, &names, &os_error), ERROR_NONE);
    assert_int_equal(names, 0);
}

static void the_lock_is_held_until_the_disk_is_closed(void **state)
{
    struct rig *rig = *state;
    struct disk second;
    int os_error = 0;
    assert_int_equal(disk_start(rig, DISK_UV_POOL), ERROR_NONE);
    assert_int_equal(rig->disk.lock(rig->disk.impl, "lock", &os_error), ERROR_NONE);
    assert_int_equal(disk_uv_open(&second, &rig->uv, rig->data, DISK_UV_POOL, &rig->text), ERROR_NONE);
    assert_int_equal(second.lock(second.impl, "lock", &os_error), ERROR_LOCKED);
    disk_shut(rig);
    assert_int_equal(second.lock(second.impl, "lock", &os_error), ERROR_NONE);
    disk_uv_close(&second, NULL, NULL);
    (void)uv_run(&rig->uv, UV_RUN_DEFAULT);
}

static void files_and_names_behave(void **state)
{
    struct rig *rig = *state;
    struct disk_file *file;
    uint64_t size;
    size_t got;
    char bytes[16];
    int os_error = 0;
    unsigned names = 0;
    assert_int_equal(disk_start(rig, DISK_UV_POOL), ERROR_NONE);
    const struct disk *disk = &rig->disk;
    void *impl = disk->impl;
    assert_int_equal(disk->make_directory(impl, "log", &os_error), ERROR_NONE);
    assert_int_equal(disk->make_directory(impl, "log", &os_error), ERROR_EXISTS);
    assert_int_equal(disk->open(impl, "log/a", DISK_READ, &file, &os_error), ERROR_NOT_FOUND);
    assert_int_equal(os_error, ENOENT);
    assert_int_equal(disk->open(impl, "log/a", DISK_WRITE, &file, &os_error), ERROR_NOT_FOUND);
    assert_int_equal(disk->open(impl, "log/a", DISK_CREATE, &file, &os_error), ERROR_NONE);
    assert_int_equal(disk->write(file, 3, "hello", 5, &os_error), ERROR_NONE);
    assert_int_equal(disk->sync(file, &os_error), ERROR_NONE);
    assert_int_equal(disk->size(file, &size, &os_error), ERROR_NONE);
    assert_int_equal(size, 8);
    assert_int_equal(disk->read(file, 1, bytes, sizeof bytes, &got, &os_error), ERROR_NONE);
    assert_int_equal(got, 7);
    assert_memory_equal(bytes, "\0\0hello", 7);
    disk->close(file);
    disk->close(NULL);
    assert_int_equal(disk->open(impl, "log/a", DISK_CREATE, &file, &os_error), ERROR_EXISTS);
    assert_int_equal(disk->rename(impl, "log/a", "log/b", &os_error), ERROR_NONE);
    assert_int_equal(disk->sync_directory(impl, "log", &os_error), ERROR_NONE);
    assert_int_equal(disk->sync_directory(impl, ".", &os_error), ERROR_NONE);
    assert_int_equal(disk->list(impl, "log", count_name, &names, &os_error), ERROR_NONE);
    assert_int_equal(names, 1);
    assert_int_equal(disk->list(impl, "none", count_name, &names, &os_error), ERROR_NOT_FOUND);
    assert_int_equal(disk->unlink(impl, "log/a", &os_error), ERROR_NOT_FOUND);
    assert_int_equal(disk->unlink(impl, "log/b", &os_error), ERROR_NONE);
    assert_int_equal(disk->free_bytes(impl, &size, &os_error), ERROR_NONE);
    assert_true(size > 0);
}

static void told_written(struct disk_write *write, enum error error, int os_error)
{
    struct rig *rig = write->data;
    rig->done++;
    rig->failed += error != ERROR_NONE;
    rig->os_error = os_error;
}

static void log_writes_are_done_on_the_loop(struct rig *rig, enum disk_uv_io io)
{
    struct disk_file *file;
    struct disk_write writes[3];
    int os_error = 0;
    size_t got;
    uint8_t *blocks = aligned_alloc(4096, 4u * 4096u);
    uint8_t *back = malloc(3u * 4096u);
    CHECK(blocks != NULL && back != NULL);
    assert_int_equal(disk_start(rig, io), ERROR_NONE);
    const struct disk *disk = &rig->disk;
    assert_int_equal(disk->open(disk->impl, "file", DISK_CREATE, &file, &os_error), ERROR_NONE);
    memset(blocks, 0, 3u * 4096u);
    assert_int_equal(disk->write(file, 0, blocks, 3u * 4096u, &os_error), ERROR_NONE);
    assert_int_equal(disk->sync(file, &os_error), ERROR_NONE);
    disk->close(file);
    assert_int_equal(disk->open(disk->impl, "file", DISK_LOG, &file, &os_error), ERROR_NONE);
    for (size_t i = 0; i < 3; i++) {
        memset(blocks + i * 4096, 'a' + (int)i, 4096);
        writes[i] = (struct disk_write){.file = file,
                                        .offset = i == 2 ? (uint64_t)1 << 62 : i * 4096,
                                        .base = blocks + i * 4096,
                                        .len = 4096,
                                        .done = told_written,
                                        .data = rig};
    }
    disk->submit(disk->impl, &writes[0]);
    disk->submit(disk->impl, &writes[1]);
    assert_int_equal(rig->done, 0);
    (void)uv_run(&rig->uv, UV_RUN_DEFAULT); /* a write in flight keeps the loop alive */
    assert_int_equal(rig->done, 2);
    assert_int_equal(rig->failed, 0);
    disk->submit(disk->impl, &writes[2]);
    assert_int_equal(rig->done, 2);
    (void)uv_run(&rig->uv, UV_RUN_DEFAULT);
    assert_int_equal(rig->done, 3);
    assert_int_equal(rig->failed, 1);
    assert_int_not_equal(rig->os_error, 0);
    disk->close(file);
    assert_int_equal(disk->open(disk->impl, "file", DISK_READ, &file, &os_error), ERROR_NONE);
    assert_int_equal(disk->read(file, 0, back, 3u * 4096u, &got, &os_error), ERROR_NONE);
    assert_memory_equal(back, blocks, 2u * 4096u);
    disk->close(file);
    free(blocks);
    free(back);
}

static void log_writes_by_the_pool(void **state)
{
    log_writes_are_done_on_the_loop(*state, DISK_UV_POOL);
}

static void log_writes_by_whatever_the_file_system_takes(void **state)
{
    log_writes_are_done_on_the_loop(*state, DISK_UV_AUTO);
}

static void a_path_longer_than_any_path_may_be_works(void **state)
{
    struct rig *rig = *state;
    char name[201];
    struct disk_file *file;
    int os_error = 0;
    int before = open(".", O_RDONLY | O_DIRECTORY);
    assert_true(before >= 0);
    memset(name, 'd', 200);
    name[200] = 0;
    assert_int_equal(chdir(rig->directory), 0);
    for (int i = 0; i < 25; i++) {
        assert_int_equal(mkdir(name, 0700), 0);
        assert_int_equal(chdir(name), 0);
    }
    (void)snprintf(rig->data, sizeof rig->data, "data");
    assert_int_equal(disk_start(rig, DISK_UV_AUTO), ERROR_NONE);
    assert_int_equal(fchdir(before), 0);
    assert_int_equal(rig->disk.make_directory(rig->disk.impl, "log", &os_error), ERROR_NONE);
    assert_int_equal(rig->disk.open(rig->disk.impl, "log/x", DISK_CREATE, &file, &os_error), ERROR_NONE);
    rig->disk.close(file);
    assert_int_equal(rig->disk.unlink(rig->disk.impl, "log/x", &os_error), ERROR_NONE);
    assert_int_equal(rig->disk.sync_directory(rig->disk.impl, "log", &os_error), ERROR_NONE);
    disk_shut(rig);
    /* nftw can't reach what has no path: take it down from the inside. */
    assert_int_equal(chdir(rig->directory), 0);
    for (int i = 0; i < 25; i++) {
        assert_int_equal(chdir(name), 0);
    }
    assert_int_equal(rmdir("data/log") | rmdir("data"), 0);
    for (int i = 0; i < 25; i++) {
        assert_int_equal(chdir(".."), 0);
        assert_int_equal(rmdir(name), 0);
    }
    assert_int_equal(fchdir(before), 0);
    assert_int_equal(close(before), 0);
}

/* ---- a storage on it ---- */

static void told_fatal(void *arg, const char *path, uint64_t offset, const char *what, int os_error)
{
    (void)arg;
    print_error("%s: offset %llu: %s: %s\n", path, (unsigned long long)offset, what, strerror(os_error));
    fail();
}

static struct storage *storage_start(struct rig *rig, enum disk_uv_io io)
{
    struct storage *storage;
    assert_int_equal(disk_start(rig, io), ERROR_NONE);
    struct storage_options options = {
        .disk = &rig->disk, .loop = &rig->loop, .segment_bytes = SEGMENT, .fatal = told_fatal, .arg = rig};
    enum error error = storage_open(&options, &storage, &rig->text);
    if (error != ERROR_NONE) {
        print_error("%s\n", rig->text.text);
    }
    assert_int_equal(error, ERROR_NONE);
    return storage;
}

static void storage_shut(struct rig *rig, struct storage *storage)
{
    rig->closed = false;
    storage_close(storage, true, told_closed, rig);
    (void)uv_run(&rig->uv, UV_RUN_DEFAULT);
    assert_true(rig->closed);
    disk_shut(rig);
}

static void told_appended(struct storage_append *append, enum error error)
{
    struct rig *rig = append->data;
    assert_int_equal(error, ERROR_NONE);
    rig->done++;
}

static void told_published(struct storage_publish *publish, enum error error)
{
    struct rig *rig = publish->data;
    assert_int_equal(error, ERROR_NONE);
    rig->done++;
}

static void append_many(struct rig *rig, struct storage *storage, unsigned n)
{
    uint8_t payload[3000];
    struct storage_append *appends = calloc(n, sizeof *appends);
    struct storage_entry entry = {.term = 1, .type = 1, .data = {.base = payload, .len = sizeof payload}};
    CHECK(appends != NULL);
    memset(payload, 'p', sizeof payload);
    rig->done = 0;
    for (unsigned i = 0; i < n; i++) {
        appends[i] = (struct storage_append){.done = told_appended, .data = rig};
        storage_append(storage, &appends[i], storage_next_index(storage), &entry, 1);
        if (i % 3 == 0) {
            storage_flush(storage);
        }
        if (i % 10 == 0) {
            (void)uv_run(&rig->uv, UV_RUN_NOWAIT);
        }
    }
    while (rig->done < n) {
        (void)uv_run(&rig->uv, UV_RUN_ONCE);
    }
    free(appends);
}

static void snapshot_take(struct rig *rig, struct storage *storage, uint64_t index, unsigned trailing)
{
    struct storage_snapshot_writer *writer;
    struct storage_snapshot_info info = {.index = index, .term = 1, .configuration_index = 1};
    struct storage_publish publish = {.done = told_published, .data = rig};
    info.configuration = slice_of("configuration");
    assert_int_equal(storage_snapshot_begin(storage, trailing == 0, &writer, &rig->text), ERROR_NONE);
    assert_int_equal(storage_snapshot_write(writer, slice_of("chunk"), &rig->text), ERROR_NONE);
    assert_int_equal(storage_snapshot_finish(writer, &info, &rig->text), ERROR_NONE);
    rig->done = 0;
    storage_snapshot_publish(storage, &publish, writer, &info, trailing);
    while (rig->done == 0) {
        (void)uv_run(&rig->uv, UV_RUN_ONCE);
    }
}

static void a_storage_lives_on_it(struct rig *rig, enum disk_uv_io io)
{
    struct storage_identity identity = {.name = "n1", .node_id = 1, .spec = slice_of("n1=localhost")};
    struct storage_entry first = {.term = 1, .type = 3, .data = slice_of("configuration")};
    struct storage_loaded loaded;
    struct storage_figures figures;
    struct storage *storage = storage_start(rig, io);
    assert_int_equal(storage_bootstrap(storage, &identity, &first, &rig->text), ERROR_NONE);
    storage_loaded_release(storage);
    append_many(rig, storage, 200);
    storage_set_term(storage, 5);
    storage_set_vote(storage, 3);
    snapshot_take(rig, storage, 180, 50);
    append_many(rig, storage, 150);
    storage_figures(storage, &figures);
    assert_string_equal(figures.log_mode, rig->disk.log_mode(rig->disk.impl));
    assert_true(figures.reserve_ok);
    storage_shut(rig, storage);

    storage = storage_start(rig, io);
    storage_loaded(storage, &loaded);
    assert_int_equal(loaded.term, 5);
    assert_int_equal(loaded.vote, 3);
    assert_int_equal(loaded.snapshot.index, 180);
    assert_true(loaded.first_index > 1 && loaded.first_index <= 131);
    assert_int_equal(loaded.first_index + loaded.n_entries, 352);
    assert_int_equal(loaded.entries[loaded.n_entries - 1].data.len, 3000);
    storage_loaded_release(storage);
    snapshot_take(rig, storage, 1000, 0);
    append_many(rig, storage, 20);
    storage_shut(rig, storage);

    storage = storage_start(rig, DISK_UV_AUTO); /* the other way reads the same */
    storage_loaded(storage, &loaded);
    assert_int_equal(loaded.first_index, 1001);
    assert_int_equal(loaded.n_entries, 20);
    storage_shut(rig, storage);
}

static void a_storage_lives_on_the_pool(void **state)
{
    a_storage_lives_on_it(*state, DISK_UV_POOL);
}

static void a_storage_lives_on_whatever_the_file_system_takes(void **state)
{
    a_storage_lives_on_it(*state, DISK_UV_AUTO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_directory_is_made_and_private),
        TEST(a_missing_parent_is_an_error),
        TEST(kernel_aio_is_used_or_refused),
        TEST(probing_leaves_nothing_behind),
        TEST(the_lock_is_held_until_the_disk_is_closed),
        TEST(files_and_names_behave),
        TEST(log_writes_by_the_pool),
        TEST(log_writes_by_whatever_the_file_system_takes),
        TEST(a_path_longer_than_any_path_may_be_works),
        TEST(a_storage_lives_on_the_pool),
        TEST(a_storage_lives_on_whatever_the_file_system_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
