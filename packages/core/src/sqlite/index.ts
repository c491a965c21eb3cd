export {
  type SqliteShare,
  type SqliteStats,
  type SqliteStore,
  type SqliteStoreOptions,
  sqliteStore,
} from '../cache/stores/sqlite/sqlite-store.js';
