from tests.no_database import test_a_test_of_this_folder_gets_no_database

__all__ = ["test_a_test_of_this_folder_gets_no_database"]
