export { type SqliteSpillOptions, sqliteSpill } from '../cache/stores/sqlite/sqlite-spill.js';
export {
  type SqliteShare,
  type SqliteStats,
  type SqliteStore,
  type SqliteStoreOptions,
  sqliteStore,
} from '../cache/stores/sqlite/sqlite-store.js';
